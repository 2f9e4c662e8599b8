// OpenAI's own Node client, in its two latest major versions, meets OpenAI's API and nothing else, whatever happens
// behind it.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { Stack, readEvents } from './stack.mjs';

const MAJORS = [6, 7];
const MESSAGES = [{ role: 'user', content: 'hello' }];
const TIMEOUT = { timeout: 60_000 };

const chat = (fields = {}) => ({ model: 'sim', messages: MESSAGES, stream: true, ...fields });
const completion = (fields = {}) => ({ model: 'sim', prompt: 'hello', stream: true, ...fields });

async function read(opening, into = []) {
  for await (const chunk of await opening) into.push(chunk);
  return into;
}

const text = (chunks, index = 0) =>
  chunks
    .flatMap((chunk) => chunk.choices)
    .filter((choice) => choice.index === index)
    .map((choice) => (choice.delta ? (choice.delta.content ?? '') : choice.text))
    .join('');

const words = (string) => string.split(' ').length;

const finishes = (chunks) =>
  chunks.flatMap((chunk) => chunk.choices.map((choice) => choice.finish_reason)).filter(Boolean);

async function eventually(condition, patienceMs = 10_000) {
  const deadline = Date.now() + patienceMs;
  while (!(await condition())) {
    assert.ok(Date.now() < deadline, 'it did not happen in time');
    await sleep(50);
  }
}

async function unfinished(url) {
  const metrics = await (await fetch(`${url}/metrics`)).text();
  return Number(/^tailrace_gateway_own_streams (\S+)$/m.exec(metrics)[1]);
}

const cancel = (url, id) => fetch(`${url}/v1/streams/${id}`, { method: 'DELETE' });

/** A fetch that keeps the bytes that pass to the SDK, so that a test sees what the SDK had to survive. */
function tapped(wire) {
  return async (...args) => {
    const response = await fetch(...args);
    const keep = new TransformStream({
      transform(bytes, controller) {
        wire.push(Buffer.from(bytes));
        controller.enqueue(bytes);
      },
    });
    return new Response(response.body.pipeThrough(keep), response);
  };
}

const heartbeats = (wire) => Buffer.concat(wire).toString().match(/^:/gm)?.length ?? 0;

/** A stack of the test's own, for what goes wrong. */
function stormy(name, spec, body) {
  test(name, TIMEOUT, async () => {
    const stack = new Stack(spec);
    try {
      await body(stack);
    } finally {
      await stack.stop();
    }
  });
}

for (const major of MAJORS) {
  const { OpenAI, ...sdk } = await import(`openai-${major}`);
  const connect = (url, options = {}) =>
    new OpenAI({ baseURL: `${url}/v1`, apiKey: 'any: nobody checks it here', maxRetries: 0, ...options });

  describe(`openai-node ${major}, undisturbed`, () => {
    let stack;
    let url;
    let client;

    before(async () => {
      stack = new Stack({ disconnect: { grace: '500ms' } });
      await stack.worker({ tokens_per_s: 200 });
      url = await stack.gateway();
      client = connect(url);
    });
    after(() => stack.stop());

    test('a chat stream is whole and ends by itself', TIMEOUT, async () => {
      const chunks = await read(client.chat.completions.create(chat({ max_tokens: 12 })));
      assert.equal(chunks[0].choices[0].delta.role, 'assistant');
      assert.equal(words(text(chunks)), 12);
      assert.deepEqual(finishes(chunks), ['length']);
      assert.equal(new Set(chunks.map(({ id, created, model, object }) => `${id} ${created} ${model} ${object}`)).size, 1);
      assert.equal(chunks[0].object, 'chat.completion.chunk');
    });

    test('a legacy completion stream is whole and ends by itself', TIMEOUT, async () => {
      const chunks = await read(client.completions.create(completion({ max_tokens: 12 })));
      assert.equal(words(text(chunks)), 12);
      assert.deepEqual(finishes(chunks), ['length']);
      assert.equal(chunks[0].object, 'text_completion');
    });

    test('an answer without streaming is whole', TIMEOUT, async () => {
      const answer = await client.chat.completions.create(chat({ stream: false, max_tokens: 7 }));
      assert.equal(words(answer.choices[0].message.content), 7);
      assert.equal(answer.choices[0].finish_reason, 'length');
      assert.equal(answer.usage.completion_tokens, 7);
      const legacy = await client.completions.create(completion({ stream: false, max_tokens: 8 }));
      assert.equal(words(legacy.choices[0].text), 8);
      assert.equal(legacy.usage.completion_tokens, 8);
    });

    test('two choices stay apart', TIMEOUT, async () => {
      const streams = [
        read(client.chat.completions.create(chat({ max_tokens: 6, n: 2 }))),
        read(client.completions.create(completion({ max_tokens: 6, n: 2 }))),
      ];
      for (const chunks of await Promise.all(streams)) {
        assert.deepEqual([words(text(chunks, 0)), words(text(chunks, 1))], [6, 6]);
        assert.notEqual(text(chunks, 0), text(chunks, 1));
        assert.deepEqual(finishes(chunks), ['length', 'length']);
      }
      const answer = await client.chat.completions.create(chat({ stream: false, max_tokens: 6, n: 2 }));
      assert.deepEqual(answer.choices.map((choice) => choice.index), [0, 1]);
    });

    test('usage comes last for those who ask', TIMEOUT, async () => {
      const asked = await read(
        client.chat.completions.create(chat({ max_tokens: 5, stream_options: { include_usage: true } })),
      );
      const last = asked.pop();
      assert.deepEqual(last.choices, []);
      assert.equal(last.usage.completion_tokens, 5);
      const unasked = await read(client.chat.completions.create(chat({ max_tokens: 5 })));
      for (const chunk of [...asked, ...unasked]) assert.equal(chunk.usage ?? null, null);
    });

    test('models can be listed and retrieved', TIMEOUT, async () => {
      const models = await read(client.models.list());
      assert.deepEqual(models.map((model) => model.id), ['sim']);
      assert.equal((await client.models.retrieve('sim')).owned_by, 'default');
    });

    test('the stream helper assembles what was streamed', TIMEOUT, async () => {
      const { stream, ...fields } = chat({ n: 2, stream_options: { include_usage: true } });
      const runner = client.chat.completions.stream(fields);
      const heard = [];
      runner.on('chunk', (chunk) => heard.push(chunk));
      const final = await runner.finalChatCompletion();
      const chunks = await read(client.chat.completions.create({ ...fields, stream }));
      assert.deepEqual(final.choices.map((choice) => choice.message.content), [text(chunks, 0), text(chunks, 1)]);
      assert.deepEqual(final.choices.map((choice) => choice.finish_reason), ['stop', 'stop']);
      assert.deepEqual(final.usage, chunks.at(-1).usage);
      assert.deepEqual([text(heard, 0), text(heard, 1)], [text(chunks, 0), text(chunks, 1)]);
    });

    for (const stream of [true, false]) {
      const way = stream ? 'streaming' : 'whole';

      test(`an unknown model is a NotFoundError that names the known ones (${way})`, TIMEOUT, async () => {
        const calls = [
          () => client.chat.completions.create(chat({ model: 'gpt-4o', stream })),
          () => client.completions.create(completion({ model: 'gpt-4o', stream })),
        ];
        for (const call of calls) {
          await assert.rejects(call, (error) => {
            assert.ok(error instanceof sdk.NotFoundError);
            assert.match(error.message, /'gpt-4o'.*served: sim/);
            assert.deepEqual([error.code, error.param], ['model_not_found', 'model']);
            return true;
          });
        }
      });

      test(`a wrong field is a BadRequestError that names it (${way})`, TIMEOUT, async () => {
        for (const [field, value] of Object.entries({ n: 0, max_tokens: 0, messages: [] })) {
          await assert.rejects(client.chat.completions.create(chat({ stream, [field]: value })), (error) => {
            assert.ok(error instanceof sdk.BadRequestError);
            assert.match(error.message, new RegExp(field));
            assert.deepEqual([error.code, error.param], ['invalid_request', field]);
            return true;
          });
        }
      });
    }

    test('retrieving an unknown model is a NotFoundError, whatever is in its name', TIMEOUT, async () => {
      for (const name of ['gpt-4o', 'meta-llama/Llama-3.1-8B']) {
        await assert.rejects(client.models.retrieve(name), (error) => {
          assert.ok(error instanceof sdk.NotFoundError);
          assert.equal(error.code, 'model_not_found');
          return true;
        });
      }
    });

    test('a key stands for one answer, however often it is sent', TIMEOUT, async () => {
      const key = { headers: { 'Idempotency-Key': `order-${major}` } };
      const ask = () => read(client.chat.completions.create(chat({ max_tokens: 30 }), key));
      const [first, second] = await Promise.all([ask(), ask()]);
      assert.deepEqual(finishes(first), ['length']);
      assert.deepEqual(second, first);
      assert.deepEqual(await ask(), first);
      await assert.rejects(client.chat.completions.create(chat({ max_tokens: 31 }), key), (error) => {
        assert.ok(error instanceof sdk.UnprocessableEntityError);
        assert.equal(error.code, 'idempotency_mismatch');
        return true;
      });
    });

    test('a stream that was cut off is read on under the id in its header', TIMEOUT, async () => {
      const undisturbed = await read(client.chat.completions.create(chat({ max_tokens: 40 })));
      const { data, response } = await client.chat.completions.create(chat({ max_tokens: 40 })).withResponse();
      const stream = `${url}/v1/streams/${response.headers.get('tailrace-stream-id')}`;
      const seen = [];
      for await (const chunk of data) {
        seen.push(chunk);
        if (seen.length === 10) break;
      }
      const { events } = await readEvents(stream, { 'Last-Event-ID': '10' });
      const rest = events.filter((event) => event.event === undefined);
      assert.equal(rest.pop().data, '[DONE]');
      assert.deepEqual(rest.map((event) => event.id), Array.from({ length: 31 }, (_, i) => String(i + 11)));
      const chunks = rest.map((event) => JSON.parse(event.data));
      assert.equal(text([...seen, ...chunks]), text(undisturbed));
      assert.equal((await readEvents(stream, { 'Last-Event-ID': '41' })).status, 204);
    });

    test('an error after the first byte is thrown with its message and code', TIMEOUT, async () => {
      const { data, response } = await client.chat.completions.create(chat({ max_tokens: 4000 })).withResponse();
      const seen = [];
      const reading = read(data, seen);
      const outcome = assert.rejects(reading, (error) => {
        assert.ok(error instanceof sdk.APIError);
        assert.match(error.message, /The stream was cancelled/);
        assert.equal(error.code, 'cancelled');
        assert.equal(error.error.position, seen.length);
        return true;
      });
      await eventually(() => seen.length > 5);
      await cancel(url, response.headers.get('tailrace-stream-id'));
      await outcome;
      assert.deepEqual(finishes(seen), []);
    });

    const leaving = {
      'aborting the stream': (stream) => stream.controller.abort(),
      'aborting the request': (_, controller) => controller.abort(),
      'leaving the loop': () => 'leave',
    };
    for (const [how, leave] of Object.entries(leaving)) {
      test(`${how} cancels it after the grace`, TIMEOUT, async () => {
        const controller = new AbortController();
        const request = client.chat.completions.create(chat({ max_tokens: 4000 }), { signal: controller.signal });
        const { data, response } = await request.withResponse();
        let seen = 0;
        for await (const _ of data) {
          seen += 1;
          if (seen === 5 && leave(data, controller) === 'leave') break;
        }
        const left = Date.now();
        assert.equal(await unfinished(url), 1, 'the grace lets a client come back');
        await eventually(async () => (await unfinished(url)) === 0);
        assert.ok(Date.now() - left >= 400, 'the grace is half a second');
        const { events } = await readEvents(`${url}/v1/streams/${response.headers.get('tailrace-stream-id')}`);
        assert.equal(JSON.parse(events.at(-2).data).error.code, 'cancelled');
        assert.ok(events.length < 1000);
      });
    }
  });

  describe(`openai-node ${major}, when things go wrong`, () => {
    stormy('heartbeats before the first token break nothing', {}, async (stack) => {
      const wire = [];
      const client = connect(await stack.gateway({ heartbeat_s: 0.3 }), { fetch: tapped(wire) });
      const { stream, ...fields } = chat({ max_tokens: 5 });
      const reading = Promise.all([
        read(client.chat.completions.create({ ...fields, stream })),
        read(client.completions.create(completion({ max_tokens: 5 }))),
        client.chat.completions.stream(fields).finalChatCompletion(),
      ]);
      await sleep(2000);
      await stack.worker();
      const [streamed, legacy, final] = await reading;
      assert.deepEqual([finishes(streamed), finishes(legacy)], [['length'], ['length']]);
      assert.equal(final.choices[0].message.content, text(streamed));
      assert.ok(heartbeats(wire) >= 3 * 3);
    });

    stormy('heartbeats between tokens break nothing', {}, async (stack) => {
      const wire = [];
      await stack.worker({ tokens_per_s: 1 });
      const client = connect(await stack.gateway({ heartbeat_s: 0.2 }), { fetch: tapped(wire) });
      const { stream, ...fields } = chat({ max_tokens: 4 });
      const [streamed, legacy, final] = await Promise.all([
        read(client.chat.completions.create({ ...fields, stream })),
        read(client.completions.create(completion({ max_tokens: 4 }))),
        client.chat.completions.stream(fields).finalChatCompletion(),
      ]);
      assert.deepEqual([words(text(streamed)), words(text(legacy))], [4, 4]);
      assert.equal(final.choices[0].message.content, text(streamed));
      assert.ok(heartbeats(wire) >= 3 * 3);
    });

    const full = { replicas: 0, queue: { maxWaiting: 1 } };
    stormy('a full queue is a RateLimitError, and the SDK waits as long as it says', full, async (stack) => {
      const url = await stack.gateway();
      const client = connect(url);
      const waiting = await client.chat.completions.create(chat()).withResponse();
      await assert.rejects(client.chat.completions.create(chat()), (error) => {
        assert.ok(error instanceof sdk.RateLimitError);
        assert.equal(error.code, 'queue_full');
        assert.equal(error.headers.get('retry-after'), '1');
        return true;
      });
      const asked = Date.now();
      const answering = connect(url, { maxRetries: 1 }).chat.completions.create(chat({ max_tokens: 4 }));
      const answered = answering.then((stream) => [stream, Date.now() - asked]);
      await sleep(300);
      await cancel(url, waiting.response.headers.get('tailrace-stream-id'));
      await assert.rejects(read(waiting.data), /cancelled/);
      const [stream, waited] = await answered;
      assert.ok(waited >= 1000, "the SDK's own first delay is at most half a second");
      await stack.worker();
      assert.deepEqual(finishes(await read(stream)), ['length']);
    });

    stormy('a worker killed in the middle of a sentence goes unnoticed', {}, async (stack) => {
      const victim = await stack.worker({ tokens_per_s: 30 });
      const client = connect(await stack.gateway());
      const { stream, ...fields } = chat({ max_tokens: 150 });
      const seen = [];
      const reading = read(client.chat.completions.create({ ...fields, stream }), seen);
      const helping = client.chat.completions.stream(fields).finalChatCompletion();
      await eventually(() => seen.length > 10);
      await stack.kill(victim);
      assert.ok(seen.length < 150);
      await stack.worker({ tokens_per_s: 1000 });
      const [disturbed, final] = await Promise.all([reading, helping]);
      const undisturbed = await read(client.chat.completions.create({ ...fields, stream }));
      assert.deepEqual(disturbed.map((chunk) => chunk.choices), undisturbed.map((chunk) => chunk.choices));
      assert.equal(final.choices[0].message.content, text(undisturbed));
    });

    stormy('a stream that no worker can finish throws what happened', {}, async (stack) => {
      const victim = await stack.worker({ tokens_per_s: 30 });
      const client = connect(await stack.gateway());
      const seen = [];
      const reading = read(client.chat.completions.create(chat({ max_tokens: 400 })), seen);
      const outcome = assert.rejects(reading, (error) => {
        assert.ok(error instanceof sdk.APIError);
        assert.match(error.message, /attempts in a row wrote nothing/);
        assert.deepEqual([error.code, error.type], ['worker_lost', 'server_error']);
        assert.equal(error.error.position, seen.length);
        return true;
      });
      await eventually(() => seen.length > 10);
      await stack.kill(victim);
      await stack.worker({ first_token_s: 60, max_attempts: 2, timeouts: { first_token_s: 0.5 } });
      await outcome;
    });
  });
}
