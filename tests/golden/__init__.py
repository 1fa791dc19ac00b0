"""
The golden contract: requests, sent one after the other, and their answers on every Airflow and in both faces.

``contract.json`` has the requests and the answers; ``differences.json`` has what is otherwise on some versions, with
Airflow's reason. To change them, add or edit requests in ``contract.json`` (an answer may be left out), let each
supported Airflow write down its answers, and merge them::

    GOLDEN_ANSWERS=/tmp/answers tox run -e airflow27,airflow28,… -- tests/golden
    python -m tests.golden.rewrite /tmp/answers

Then read the change, and give each new row of ``differences.json`` its reason.
"""
