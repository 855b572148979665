"""Where artifacts come from: one file per kind."""
