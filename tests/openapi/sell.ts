// Sells a seat of the gala through a client generated from the OpenAPI document; prints the booking.
//
// No cast and no `!`: what the document promises is all that the compiler knows. Node's own types are not
// needed for the little that is used of them.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

declare const process: { argv: string[] };

type Booking = components["schemas"]["BookingShown"];

const [, , baseUrl, token] = process.argv;
if (baseUrl === undefined || token === undefined) throw new Error("usage: sell.js URL TOKEN");

const anyone = createClient<paths>({ baseUrl });
const ann = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${token}` } });

function got<T>(answer: { data?: T; error?: unknown }): T {
  if (answer.data === undefined) throw new Error(JSON.stringify(answer.error));
  return answer.data;
}

function equal(found: unknown, expected: unknown): void {
  if (found !== expected) throw new Error(`${String(found)} instead of ${String(expected)}`);
}

async function hold(seat: string, key: string) {
  return ann.POST("/api/v1/booking", {
    params: { header: { "Idempotency-Key": key } },
    body: { seatIds: [seat] },
  });
}

// The letter of a seat: its place in the layout is its place in the map.
async function letter(seat: string): Promise<string | undefined> {
  const params = { path: { event_id: "gala" } };
  const layout = got(await anyone.GET("/api/v1/event/{event_id}/seats", { params }));
  const { map } = got(await anyone.GET("/api/v1/event/{event_id}/availability", { params }));
  for (const { rows } of layout.sections)
    for (const row of rows)
      for (const [place, { id }] of row.seats.entries())
        if (`gala:${id}` === seat) return map[row.index + place];
  return undefined;
}

const query = { eventId: "gala", limit: 1 };
const [seat] = got(await anyone.GET("/api/v1/booking", { params: { query } })).data;
if (seat === undefined) throw new Error("no seat is available");
const accessible: boolean = seat.accessible;
equal(await letter(seat.id), "a");

const held: Booking = got(await hold(seat.id, "first"));
const unconfirmed: string | null = held.confirmedAt;
const nothing: number = held.refundMinor;
equal(unconfirmed, null);
equal(nothing, 0);
equal(held.amountMinor, seat.priceMinor);
equal(got(await hold(seat.id, "first")).id, held.id);
equal(await letter(seat.id), "h");

const { error, response } = await hold(seat.id, "second");
if (error === undefined) throw new Error("the seat was held twice");
equal(error.code, "seat_taken");
equal(error.seatIds?.[0], seat.id);
const page = await fetch(new URL(error.type, response.url));
equal(page.status, 200);

const params = { path: { booking_id: held.id } };
equal(got(await ann.POST("/api/v1/payment/{booking_id}/confirm", { params })).status, "confirmed");
const sold = got(await ann.GET("/api/v1/booking/{booking_id}", { params }));
equal(sold.status, "confirmed");
equal(await letter(seat.id), "s");
console.log(JSON.stringify({ ...sold, accessible }));
