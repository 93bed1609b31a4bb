//! recipe: packages are Rhai scripts, and the recipe file holds their state.
//!
//! In the order of the data (TEAM/0015 says why):
//!
//! - [`text`]: a recipe's text, looked at without Rhai
//! - [`state`], [`pin`], [`recipe`], [`shelf`]: what a recipe says, and where recipes are
//! - [`digest`], [`lockfile`]: what a recipe says, as one number; what was made of which recipe, from which bytes
//! - [`places`], [`dir`], [`lock`], [`interrupt`]: paths, directories as descriptors, who works here, ^C
//! - [`fetch`], [`archive`]: URL -> verified file -> tree
//! - [`upstream`]: what publishers have, and what they call it
//! - [`version`], [`base`], [`resolve`]: what needs what, in which version, and what of it the system has itself
//! - [`confine`]: programs of recipes, in a cage
//! - [`engine`]: the recipe's code and the helpers it can call
//! - [`stage`], [`db`], [`tx`]: what was made -> installed, all of it or nothing
//! - [`doctor`]: what is wrong with all of it
//! - [`voice`]: what people see of it: lines, progress, colours, questions
//! - [`commands`], [`complete`], [`cli`]: what can be typed

pub mod exit;
pub mod text;
pub mod state;
pub mod pin;
pub mod recipe;
pub mod shelf;
pub mod digest;
pub mod lockfile;
pub mod places;
pub mod dir;
pub mod lock;
pub mod interrupt;
pub mod voice;
pub mod fetch;
pub mod archive;
pub mod upstream;
pub mod confine;
pub mod engine;
pub mod version;
pub mod base;
pub mod resolve;
pub mod stage;
pub mod db;
pub mod tx;
pub mod doctor;
pub mod commands;
pub mod complete;
pub mod cli;
