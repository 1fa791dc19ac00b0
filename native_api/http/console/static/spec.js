// The OpenAPI document, as forms need it.

/** Return the fields of an operation's request, each with its kind, and the aliases. */
export function fieldsOf(spec, operation) {
  const path = spec.paths[`/${operation.name}`];
  const described = path.get || path.post;
  const all = path.get ? parameters(described) : properties(spec, described);
  const aliases = {};
  const fields = [];
  for (const field of all) {
    const alias = field.schema["x-alias-of"];
    if (alias) aliases[field.name] = alias;
    else fields.push({ ...field, kind: kindOf(field, operation), secret: operation.secret.includes(field.name) });
  }
  fields.sort((one, other) => rank(one) - rank(other));
  return { fields, aliases };
}

function parameters(described) {
  return (described.parameters || []).map(({ name, required, schema, description, example }) =>
    ({ name, required: Boolean(required), schema, description: description || "", example }));
}

function properties(spec, described) {
  const [content] = Object.values(described.requestBody.content);
  const schema = resolved(spec, content.schema);
  const required = schema.required || [];
  return Object.entries(schema.properties || {}).map(([name, property]) => ({
    name,
    required: required.includes(name),
    schema: property,
    description: property.description || "",
    example: (content.example || {})[name],
  }));
}

function resolved(spec, schema) {
  return schema.$ref ? spec.components.schemas[schema.$ref.split("/").pop()] : schema;
}

function kindOf({ schema, name }, operation) {
  if (operation.uploads[name] === "file") return "file";
  if (operation.uploads[name]) return "import";
  if (schema.enum) return "choice";
  if (schema.format === "date-time") return "date";
  if (schema.type === "string") return "text";
  return schema.type === undefined ? "any" : schema.type;
}

/** Whether an argument has an effect on that version of Airflow. */
export function isAvailable({ schema }, version) {
  const specifier = /^(>=|<)(\d+)\.(\d+)$/.exec(schema["x-airflow-versions"] || "");
  if (!specifier) return true;
  const [major, minor] = version.split(".").map((part) => parseInt(part, 10));
  const isOlder = major < +specifier[2] || (major === +specifier[2] && minor < +specifier[3]);
  return specifier[1] === "<" ? isOlder : !isOlder;
}

/** Identifying fields come in this order, then the others in that of the document. */
const FIRST = ["dag_id", "run_id", "task_id", "key", "conn_id", "name", "value", "from_date", "to_date", "state"];

function rank({ required, name }) {
  const place = FIRST.indexOf(name);
  return (required ? 0 : 100) + (place < 0 ? FIRST.length : place);
}

const PROMINENT = new Set(["run_id", "task_id", "logical_date", "conf", "from_date", "to_date", "path", "dag_id",
  "conn_type", "host", "login", "password", "extra", "conn_uri", "description", "value", "variables", "connections",
  "pools", "downstream", "only_failed", "dag_id_pattern"]);

/** Whether a field is shown initially: it is required, or most calls use it. */
export function isProminent(field) {
  return field.required || PROMINENT.has(field.name);
}

export function descriptionOf(spec, operation) {
  const path = spec.paths[`/${operation.name}`];
  const text = (path.get || path.post).description;
  // The summary is in the heading; the media types are not for people.
  return text.split("\n\n").slice(1).filter((part) => !part.includes("x-www-form-urlencoded"))
    .map((part) => part.replace(/\n/g, " "));
}

const SPELLINGS = { dag: "DAG", dags: "DAGs", xcom: "XCom", xcoms: "XComs", json: "JSON" };

/** Return an operation's name as a heading. */
export function titleOf(name) {
  const words = name.split("_").map((word) => SPELLINGS[word] || word);
  return words.join(" ").replace(/^./, (letter) => letter.toUpperCase());
}
