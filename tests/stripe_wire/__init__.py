"""A gateway that speaks Stripe's wire interface and has state: for behaviour, where stripe-mock only knows shapes.

``python -m tests.stripe_wire --port 12111`` runs it as a process of its own. Each secret key is an account of its own.
"""
