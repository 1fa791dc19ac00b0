"""
The environment variables of the warm process and of all jobs: those of the web server, without its secrets.

DAG code needs neither the keys that sign sessions and tokens nor the static token. Their variables are removed before
the warm process is executed, so that ``/proc`` does not show them. The options get other values, so that Airflow does
not read them from ``airflow.cfg``. This is no security boundary: DAG code can read that file.
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

#: Settings of Airflow that start threads on import, which do not exist in a fork, or that disable the parsing of DAGs.
_OVERRIDES = {"AIRFLOW__TRACES__OTEL_ON": "False", "AIRFLOW__METRICS__OTEL_ON": "False"}
_UNWANTED = ("SKIP_DAGS_PARSING",)
#: The credentials of the first user that the Docker image of Airflow creates.
_IMAGE_VARIABLES = ("_AIRFLOW_WWW_USER_*",)
#: The variables of an option: its value, a command that prints it, and its key in a secrets backend.
_SUFFIXES = ("", "_CMD", "_SECRET")
#: A shorter text is not masked, as in Airflow 3: it would match too much.
_MINIMUM = 5


def job_environment() -> Dict[str, str]:
    """Return the environment of the warm process."""
    return {**kept_variables(), **_OVERRIDES, **_replacements()}


def kept_variables() -> Dict[str, str]:
    """Return the variables of this process that jobs have, too."""
    patterns = _patterns()
    return {name: value for name, value in os.environ.items() if not _is_one_of(name, patterns)}


def texts_to_mask() -> List[str]:
    """Return the secrets to mask in jobs: the removed variables, and sensitive options of Airflow and of this API."""
    patterns = _patterns()
    of_variables = {value for name, value in os.environ.items() if _is_one_of(name, patterns)}
    found = of_variables | {settings.get(option.name) for option in settings.OPTIONS.values() if option.is_secret}
    for section, key in {*airflow().user_code.secrets_of_web_server, *_sensitive()}:
        found.add(_configured(section, key))
    return sorted(text for text in found if len(text) >= _MINIMUM)


def _patterns() -> Tuple[str, ...]:
    options = {*airflow().user_code.secrets_of_web_servers, *settings.secrets()}
    variables = [_variable(*option) + suffix for option in options for suffix in _SUFFIXES]
    return (*_UNWANTED, *_IMAGE_VARIABLES, *variables, *settings.get("job_environment_without"))


def _is_one_of(name: str, patterns: Tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _replacements() -> Dict[str, str]:
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

    # The command of the option can fail. Airflow has logged its warnings about deprecated names at its start.
    with suppress(AirflowConfigException), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return conf.get(section, key, fallback="", suppress_warnings=True) or ""
    return ""
