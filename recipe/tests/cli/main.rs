//! `recipe` as it is typed: the real program, real archives made by the host's tools, a server on the loopback interface.

mod rig;
mod forge;
mod install;
mod upgrade;
mod conflicts;
mod errors;
mod download;
mod lists;
mod names;
mod needs;
mod archives;
mod locks;
mod history;
mod lockfile;
mod cache;
mod verify;
mod programs;
mod tools;
mod leftovers;
mod confinement;
mod attacks;
mod base;
mod doctor;
mod doctor_system;
