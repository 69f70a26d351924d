// A company's identity provider on loopback: the certified oidc-provider, whose sign-in page takes any password.
// Arguments: a JSON object with `client` (what UserSplit is registered as), `people` (claims by the name they type), and
// `port` (0: any).
// Prints one line with its `issuer`; ends when standard input does.
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import Provider from "oidc-provider";

const { client, people, port } = JSON.parse(process.argv[2]);
console.warn = console.info = () => {}; // it warns that keys and pages are for trying out, which they are

const server = createServer();
await new Promise((listening) => server.listen(port, "127.0.0.1", listening));
const issuer = `http://127.0.0.1:${server.address().port}`;
const provider = new Provider(issuer, {
  clients: [client],
  claims: {
    openid: ["sub"],
    profile: ["preferred_username", "groups"],
    email: ["email", "email_verified"],
  },
  cookies: { keys: ["a key for trying out"] },
  features: { rpInitiatedLogout: { enabled: true }, backchannelLogout: { enabled: true } },
  // It tells nobody on loopback of a logout, where we are: what guards it against that is left out.
  fetch: (url, { dispatcher, ...options }) => fetch(url, options),
  findAccount: (_, name) => ({ accountId: name, claims: async () => ({ sub: name, ...people[name] }) }),
});
provider.on("backchannel.error", (_, error) => console.error("nobody was told of a logout:", error));
server.on("request", provider.callback());
console.log(JSON.stringify({ event: "listening", issuer }));
for await (const line of createInterface({ input: process.stdin })) {
  Object.assign(people, JSON.parse(line)); // what is known of people can change
  console.log(JSON.stringify({ event: "changed" }));
}
process.exit(0);
