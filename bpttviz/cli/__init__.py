"""The commands of bpttviz, one a module; nothing heavy is imported before one runs."""
