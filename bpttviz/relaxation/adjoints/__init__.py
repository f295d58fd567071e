"""How the gradient goes back through a relaxation; an adjoint drives the loop."""
