"""MAMP: masked motion prediction."""
