"""Draw a Report: for the terminal, as JSON, as JUnit XML."""
