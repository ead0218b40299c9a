"""AMD's tools: run them, here or on another host, and read what they report."""
