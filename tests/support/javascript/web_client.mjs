// The web provider, as a browser runs it: prints what it is told as JSON lines, and takes contexts from standard input.
import { createInterface } from "node:readline";
import { EventSource } from "eventsource";
import { OpenFeature, ProviderEvents } from "@openfeature/web-sdk";
import { OFREPWebProvider } from "@openfeature/ofrep-web-provider";

globalThis.EventSource = EventSource;
const [baseUrl, token, context] = process.argv.slice(2);
const provider = new OFREPWebProvider({
  baseUrl,
  pollInterval: -1,
  fetchImplementation: (input, init) =>
    fetch(input, { ...init, headers: { ...Object.fromEntries(new Headers(init?.headers ?? input.headers)), "X-API-Key": token } }),
});
const client = OpenFeature.getClient();

function tell(event) {
  const details = client.getStringDetails("big_photo", "the default");
  const { value, variant, reason, errorCode, flagMetadata } = details;
  console.log(JSON.stringify({ event, value, variant, reason, errorCode, flagMetadata }));
}

client.addHandler(ProviderEvents.ConfigurationChanged, () => tell("changed"));
client.addHandler(ProviderEvents.Error, (details) => console.log(JSON.stringify({ event: "error", message: details?.message })));
try {
  await OpenFeature.setContext(JSON.parse(context));
  await OpenFeature.setProviderAndWait(provider);
  tell("ready");
} catch (error) {
  console.log(JSON.stringify({ event: "refused", message: String(error), cause: String(error.cause) }));
}
for await (const line of createInterface({ input: process.stdin })) {
  await OpenFeature.setContext(JSON.parse(line));
  tell("context");
}
await OpenFeature.close();
process.exit(0);
