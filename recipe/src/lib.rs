//! recipe: packages are Rhai scripts, and the recipe file holds their state.
//!
//! In the order of the data (TEAM/0015 says why):
//!
//! - [`text`]: a recipe's text, looked at without Rhai
//! - [`state`], [`pin`], [`recipe`], [`shelf`]: what a recipe says, and where recipes are
//! - [`digest`], [`code`], [`lockfile`]: what a recipe says, as one number; all that can run of it; what was made of which recipe,
//!   from which bytes
//! - [`places`], [`dir`], [`lock`], [`interrupt`]: paths, directories as descriptors, who works here, ^C
//! - [`crew`]: work that waits for servers, done by several at the same time
//! - [`fetch`], [`archive`]: URL -> verified file -> tree
//! - [`upstream`]: what publishers have, and what they call it
//! - [`version`], [`base`], [`resolve`]: what needs what, in which version, and what of it the system has itself
//! - [`confine`]: programs of recipes, in a cage
//! - [`engine`]: the recipe's code and the helpers it can call
//! - [`trust`]: which recipes were reviewed, and what they could do then
//! - [`stage`], [`db`], [`tx`]: what was made -> installed, all of it or nothing
//! - [`merge`], [`pristine`]: three texts -> one; the one that edited files were made from
//! - [`claims`]: what a recipe file says is installed -> what the prefix has of it
//! - [`room`]: prefixes for programs that are run without being installed
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
pub mod code;
pub mod lockfile;
pub mod places;
pub mod dir;
pub mod lock;
pub mod interrupt;
pub mod voice;
pub mod crew;
pub mod fetch;
pub mod archive;
pub mod upstream;
pub mod confine;
pub mod engine;
pub mod trust;
pub mod version;
pub mod base;
pub mod resolve;
pub mod stage;
pub mod db;
pub mod merge;
pub mod pristine;
pub mod claims;
pub mod tx;
pub mod room;
pub mod doctor;
pub mod commands;
pub mod complete;
pub mod cli;
