"""How the made parts of these pages are made: run `make docs`."""
