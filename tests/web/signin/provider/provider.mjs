// An OpenID provider on a free port of loopback: prints its port, takes any login and password, and vouches for the
// login as a mail address. Started by the tests, ends with its standard input.
import { Provider } from "oidc-provider";

const [redirect, host] = process.argv.slice(2);
const taken = new Promise((resolve) => {
  import("node:http").then(({ createServer }) => {
    const server = createServer();
    server.listen(0, host, () => resolve(server));
  });
});
const server = await taken;
const issuer = `http://${host}:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: "pipe",
      client_secret: "secret-of-the-test-client-0123456789",
      redirect_uris: [redirect],
      grant_types: ["authorization_code"],
      response_types: ["code"],
    },
    {
      client_id: "public",
      token_endpoint_auth_method: "none",
      redirect_uris: [redirect],
      grant_types: ["authorization_code"],
      response_types: ["code"],
    },
  ],
  pkce: { required: () => true, methods: ["S256"] },
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"] },
  conformIdTokenClaims: process.argv[4] !== "fat",
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, email: id, email_verified: !id.startsWith("unverified"), name: id }),
  }),
  cookies: { keys: ["of-the-test"] },
  features: { devInteractions: { enabled: true } },
});
server.on("request", provider.callback());
console.log(JSON.stringify({ issuer }));
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
