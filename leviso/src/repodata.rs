//! repomd.xml, primary and filelists: the metadata of an RPM repository, as values.
