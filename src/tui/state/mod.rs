//! What the screen knows besides the snapshot, and how actions change it.
//!
//! ```text
//! Action ─▶ App ─┬─▶ Navigation  where the user looks: view, plane, window, cursor
//!                ├─▶ Playback    which moment of the run: newest, chosen, frozen, film
//!                ├─▶ Appearance        how pictures are drawn
//!                └─▶ Messages    what the banner says
//! ```

mod app;
mod appearance;
pub mod choice;
pub mod cursor;
mod messages;
pub(super) mod navigation;
mod news;
mod playback;
mod window;

pub use app::App;
pub use appearance::Appearance;
