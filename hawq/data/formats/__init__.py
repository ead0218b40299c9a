"""File formats: each module opens one as a table of named columns."""
