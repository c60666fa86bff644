// npm @atproto/sync: a consumer that verifies every commit and ends with the same records.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { IdResolver, MemoryCache } from '@atproto/identity'
import { Firehose } from '@atproto/sync'
import { freshAccount, freshName, pdsUrl, plcUrl, signUp } from '../network.mjs'
import { cidOf, listed, writeHistory } from '../records.mjs'
import { streamPosition } from '../stream.mjs'

const PATIENCE_MS = 60_000

// Follows the stream from a cursor until `done` says so. Answers what was seen; any error of the consumer is one of ours.
async function follow(cursor, done, run = async () => {}) {
  const events = []
  let finish
  const finished = new Promise((resolve, reject) => {
    finish = { resolve, reject }
  })
  const firehose = new Firehose({
    service: pdsUrl.replace(/^http/, 'ws'),
    // Plain fetch, since the directory is on this machine.
    idResolver: new IdResolver({ plcUrl, didCache: new MemoryCache(), fetch: (...request) => fetch(...request) }),
    // The handles end in .test, which no resolver finds.
    unauthenticatedHandles: true,
    getCursor: () => cursor,
    handleEvent: (event) => {
      events.push(event)
      if (done(event)) finish.resolve()
    },
    onError: (error) => finish.reject(new Error(error.message, { cause: error.cause })),
  })
  const timer = setTimeout(() => finish.reject(new Error(`nothing more came after ${events.length} events`)), PATIENCE_MS)
  firehose.start()
  try {
    await run()
    await finished
  } finally {
    clearTimeout(timer)
    await firehose.destroy()
  }
  return events
}

// What a consumer's copy of a repository is after these events.
async function copied(events, did) {
  const records = new Map()
  for (const event of events.filter((event) => event.did === did)) {
    const path = `${event.collection}/${event.rkey}`
    if (event.event === 'create') assert.ok(!records.has(path), `${path} was created twice`)
    if (event.event === 'update' || event.event === 'delete') assert.ok(records.has(path), `${path} was not there`)
    if (event.event === 'create' || event.event === 'update') records.set(path, event.cid.toString())
    if (event.event === 'delete') records.delete(path)
  }
  return records
}

test('a consumer from a cursor on ends with the same records', async () => {
  const cursor = await streamPosition()
  const clients = [await signUp(freshAccount('fir')), await signUp(freshAccount('sec'))]
  await Promise.all(clients.map((client) => writeHistory(client, 40)))
  const last = await clients[0].post({ text: 'the last one' })
  const events = await follow(cursor, (event) => event.uri?.toString() === last.uri)
  for (const { did } of clients) {
    const kinds = events.filter((event) => event.did === did).map(({ event }) => event)
    assert.deepEqual(new Set(kinds.slice(0, 3)), new Set(['identity', 'account', 'sync']))
    assert.deepEqual(new Map([...(await copied(events, did))].sort()), new Map([...(await listed(did))].sort()))
  }
  const seqs = events.map(({ seq }) => seq)
  assert.deepEqual(seqs, seqs.toSorted((a, b) => a - b))
  const record = events.at(-1)
  assert.equal(record.cid.toString(), await cidOf({ $type: record.collection, ...record.record }))
})

test('a consumer that listens while others write misses nothing, and goes on from its cursor', async () => {
  const cursor = await streamPosition()
  const client = await signUp(freshAccount('liv'))
  const { did } = client
  // Known before it is written: its event may come before its answer.
  const end = freshName('end')
  const isEnd = (event) => event.record?.text === end
  // The stream is open when it brings what is written now.
  const live = await follow(undefined, isEnd, async () => {
    await writeHistory(client, 30)
    await client.post({ text: end })
  })
  const all = await follow(cursor, isEnd)
  const seqs = (events) => events.filter((event) => event.did === did && event.collection).map(({ seq }) => seq)
  const seen = seqs(live)
  assert.ok(seen.length > 0)
  assert.deepEqual(seen, seqs(all).slice(-seen.length))

  const middle = seqs(all).at(Math.floor(seqs(all).length / 2))
  const rest = await follow(middle, isEnd)
  assert.deepEqual(seqs(rest), seqs(all).filter((seq) => seq > middle))
  assert.deepEqual(await copied(all, did), await copied([...all.filter(({ seq }) => seq <= middle), ...rest], did))
})
