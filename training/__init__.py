"""Training of adainkit's models: data, losses, the loop and export. Needs `adainkit[train]`."""
