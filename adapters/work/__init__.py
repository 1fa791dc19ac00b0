"""What runs in the sandbox: functions that execute the code of DAGs, with arguments and results that are JSON."""
