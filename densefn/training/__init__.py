"""Training runs from config files: `config` reads one, `loop` runs it, `report` shows it."""
