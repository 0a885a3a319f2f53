// Node-RED inside its own runtime API, without an editor: `node node_red.js BACKEND FOLDER` prints its port.
// The flow does what the gateway's route `full` does, and keeps nothing: http in, function, xml, http request, response.
"use strict";

const fs = require("fs");
const http = require("http");
const path = require("path");
const express = require("express");
const RED = require("node-red");

const [backend, userDir] = process.argv.slice(2);
const map = `
const body = msg.payload;
msg.payload = {Appeal: {
  Id: msg._msgid,
  Urgent: body.urgent,
  Applicant: {Name: body.applicant.name, Phone: body.applicant.phone},
  Place: body.place,
  Text: body.text,
}};
return msg;`;
const asXml = `msg.headers = {"content-type": "application/xml"}; return msg;`;
// A node without a place on the canvas would be taken for a shared setting.
const node = (id, type, more, ...to) => ({id, type, z: "tab", x: 0, y: 0, ...more, wires: to.length ? [to] : []});
const flow = [
  {id: "tab", type: "tab", label: "bench"},
  node("in", "http in", {url: "/", method: "post"}, "map"),
  node("map", "function", {func: map, outputs: 1}, "xml"),
  node("xml", "xml", {property: "payload", attr: "", chr: ""}, "head"),
  node("head", "function", {func: asXml, outputs: 1}, "send"),
  node("send", "http request", {method: "POST", ret: "txt", url: backend, persist: true}, "out"),
  node("out", "http response", {statusCode: "200"}),
];

const application = express();
const server = http.createServer(application);
RED.init(server, {
  httpAdminRoot: false,
  httpNodeRoot: "/",
  userDir,
  flowFile: "flows.json",
  logging: {console: {level: "off"}},
  telemetry: {enabled: false, updateNotification: false},
});
application.use("/", RED.httpNode);
fs.writeFileSync(path.join(userDir, "flows.json"), JSON.stringify(flow));
RED.events.once("flows:started", () => server.listen(0, "127.0.0.1", () => console.log(server.address().port)));
RED.start();
process.on("unhandledRejection", (error) => { console.error(error); process.exit(1); });
process.on("SIGTERM", () => process.exit(0));
