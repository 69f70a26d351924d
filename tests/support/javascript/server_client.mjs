// The server provider: evaluates what standard input asks, one JSON line each, and prints the details.
import { createInterface } from "node:readline";
import { OpenFeature } from "@openfeature/server-sdk";
import { OFREPProvider } from "@openfeature/ofrep-provider";

const [baseUrl, token] = process.argv.slice(2);
await OpenFeature.setProviderAndWait(new OFREPProvider({ baseUrl, headers: [["Authorization", `Bearer ${token}`]] }));
const client = OpenFeature.getClient();
for await (const line of createInterface({ input: process.stdin })) {
  const { key, type, context } = JSON.parse(line);
  const details = type === "boolean"
    ? await client.getBooleanDetails(key, false, context)
    : await client.getStringDetails(key, "the default", context);
  const { value, variant, reason, errorCode, errorMessage, flagMetadata } = details;
  console.log(JSON.stringify({ value, variant, reason, errorCode, errorMessage, flagMetadata }));
}
