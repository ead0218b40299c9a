"""One module a family: the numbers of a section of the page, and their figure."""
