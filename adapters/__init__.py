"""What each operation does: one module per Airflow noun, over the seam. Import it as ``native_api.adapters``."""
