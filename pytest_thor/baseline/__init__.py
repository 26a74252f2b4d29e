"""What was accepted for a cell on a device, and what makes two measurements comparable."""
