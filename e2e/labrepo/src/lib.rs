//! Makes the lab: a real, signed RPM repository from Debian packages, and tiny defective ones for tests.
