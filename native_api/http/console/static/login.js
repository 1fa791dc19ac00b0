// Goes to Airflow's login page, which leads back.

import { keepLink } from "./link.js";

keepLink();
location.replace(document.getElementById("login").href);
