"""For people who use the layers: shapes and code side by side, and what error messages mean."""
