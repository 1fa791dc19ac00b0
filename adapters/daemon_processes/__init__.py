"""
Airflow's own processes, started apart from the web server.

``commands.py`` is what each of them takes on the command line, ``folder.py`` where their files lie, ``launch.py`` the
short program between the web server and a daemon, and ``processes.py`` starting, finding and stopping one.
"""
