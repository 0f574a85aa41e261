"""What is measured, by kind. Each measurement takes a `Plan` and a side's name, and returns named values."""
