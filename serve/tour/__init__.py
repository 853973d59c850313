"""A walk through a running shop that shows what each request really set going, read from what the shop wrote."""
