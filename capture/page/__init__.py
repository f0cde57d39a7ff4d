"""The page runtime: JavaScript that is injected before any script of the page."""
