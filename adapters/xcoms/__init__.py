"""XComs."""
