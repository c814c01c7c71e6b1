"""What price history says, as arrays: knows no table, no clock, no request."""
