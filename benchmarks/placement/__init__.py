"""What slow work does to a web process, by where it runs."""
