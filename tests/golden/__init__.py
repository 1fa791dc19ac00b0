"""
The golden contract: requests whose responses are not the same on every Airflow, and those that they build upon.

``contract.json`` has the requests and their responses on the newest Airflow; ``differences.json`` has what differs on
older ones, with Airflow's reason. That all else is the same everywhere is what test_contract.py, test_wire.py and the
operations' own tests show, on each Airflow. To change the files, add or edit requests in ``contract.json`` (a response
may be omitted), let each supported Airflow write its responses, and merge them::

    GOLDEN_ANSWERS=/tmp/answers tox run -e airflow27,airflow28,… -- tests/golden
    python -m tests.golden.rewrite /tmp/answers

Then read the change, and give each new row of ``differences.json`` its reason.
"""
