"""
The environment of the warm process, which is that of all jobs: the web server's without what is secret and its own.

What signs sessions and tokens, and the static token, are of no use to DAG code. They are taken away before the
warm process is executed, so that ``/proc`` does not show them either, and options of Airflow have another value in
their place, so that ``airflow.cfg`` is not read for them. DAG code has the rights of Airflow and can still read
that file: it is no boundary.
"""

from __future__ import annotations

import os
import secrets
import warnings
from contextlib import suppress
from fnmatch import fnmatchcase
from typing import Dict, List, Set, Tuple

from native_api import settings
from native_api.adapters.compat import airflow

#: Of Airflow's own settings those that start threads on import, which no fork survives, or keep DAGs from being parsed.
_OTHERS = {"AIRFLOW__TRACES__OTEL_ON": "False", "AIRFLOW__METRICS__OTEL_ON": "False"}
_UNWANTED = ("SKIP_DAGS_PARSING",)
#: What the image of Airflow creates its first user with.
_OF_THE_IMAGE = ("_AIRFLOW_WWW_USER_*",)
#: Where an option, a command that prints it and its name in a secrets backend are looked for.
_SUFFIXES = ("", "_CMD", "_SECRET")
#: A text that is shorter is not masked, as on Airflow 3: too much else is the same.
_SHORTEST = 5


def of_jobs() -> Dict[str, str]:
    """Return the environment of the warm process."""
    patterns = _patterns()
    given = {name: value for name, value in os.environ.items() if not _is_one_of(name, patterns)}
    return {**given, **_OTHERS, **_in_their_place()}


def to_mask() -> List[str]:
    """Return what is masked in what jobs give: what they do not have, and what is secret of what they have."""
    patterns = _patterns()
    of_variables = {value for name, value in os.environ.items() if _is_one_of(name, patterns)}
    found = of_variables | {settings.get(option.name) for option in settings.OPTIONS.values() if option.is_secret}
    for section, key in {*airflow().user_code.secrets_of_web_server, *_sensitive()}:
        found.add(_configured(section, key))
    return sorted(text for text in found if len(text) >= _SHORTEST)


def _patterns() -> Tuple[str, ...]:
    options = {*airflow().user_code.secrets_of_web_servers, *settings.secrets()}
    variables = [_variable(*option) + suffix for option in options for suffix in _SUFFIXES]
    return (*_UNWANTED, *_OF_THE_IMAGE, *variables, *settings.get("job_environment_without"))


def _is_one_of(name: str, patterns: Tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _in_their_place() -> Dict[str, str]:
    of_airflow = {
        _variable(*option): secrets.token_hex(32) if needs_one else ""
        for option, needs_one in airflow().user_code.secrets_of_web_server.items()
    }
    return {**of_airflow, **{_variable(*option): "" for option in settings.secrets()}}


def _variable(section: str, key: str) -> str:
    return f"AIRFLOW__{section.upper()}__{key.upper()}"


def _sensitive() -> Set[Tuple[str, str]]:
    from airflow.configuration import conf

    return set(conf.sensitive_config_values)


def _configured(section: str, key: str) -> str:
    from airflow.configuration import conf
    from airflow.exceptions import AirflowConfigException

    # A command that prints it may fail; of names that are old by now Airflow has said so when it began.
    with suppress(AirflowConfigException), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return conf.get(section, key, fallback="", suppress_warnings=True) or ""
    return ""
