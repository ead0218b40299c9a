"""Jets: making them, reading them, splitting them."""
