"""What several test modules share: running the command line, reading every value below a home, editing deliveries."""
