"""Whether the golden data notices what it should: variants of the reference, and other people's cases."""
