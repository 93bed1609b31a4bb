//! What can be typed, and what is printed.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use recipe::recipe::Recipe;

/// The package manager whose packages are Rhai scripts. This version reads recipes; it does not install yet.
#[derive(Debug, Parser)]
#[command(name = "recipe", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Directory of the recipes.
    #[arg(short = 'd', long, global = true, default_value = "recipes")]
    dir: PathBuf,
    /// Print JSON on stdout.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List all recipes with their versions; installed ones are marked.
    List,
    /// Show one recipe's metadata.
    Show {
        /// The recipe's name.
        name: String,
    },
    /// Check recipe files; without names all of them.
    Lint {
        /// Recipe files.
        files: Vec<PathBuf>,
    },
}

impl Cli {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match &self.command {
            Command::List => {
                let recipes = Recipe::load_all(&self.dir)?;
                if self.json {
                    return json(&recipes);
                }
                for recipe in &recipes {
                    let mark = if recipe.installed { "installed" } else { "" };
                    line(format!("{:<24} {:<16} {mark}", recipe.name, recipe.version).trim_end());
                }
            }
            Command::Show { name } => {
                let recipe = Recipe::load(&self.dir.join(format!("{name}.rhai")))?;
                if self.json {
                    return json(&recipe);
                }
                line(&format!("name: {}\nversion: {}", recipe.name, recipe.version));
                line(&format!("installed: {}\nphases: {}", recipe.installed, recipe.functions.join(", ")));
                recipe.description.iter().for_each(|d| line(&format!("description: {d}")));
            }
            Command::Lint { files } if files.is_empty() => drop(Recipe::load_all(&self.dir)?),
            Command::Lint { files } => files.iter().try_for_each(|f| Recipe::load(f).map(drop))?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn json(value: &impl serde::Serialize) -> anyhow::Result<ExitCode> {
    line(&serde_json::to_string_pretty(value)?);
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::print_stdout, reason = "data goes to stdout")]
fn line(text: &str) {
    println!("{text}");
}
