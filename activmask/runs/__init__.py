"""What describes a run: its settings, their file forms, and the names and files of its folder."""
