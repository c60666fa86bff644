// The firehose read with nothing but node's own WebSocket and npm @atcute/cbor.
import assert from 'node:assert/strict'
import { decodeFirst } from '@atcute/cbor'
import { freshAccount, pdsUrl, signUp } from './network.mjs'

const PATIENCE_MS = 30_000

// Reads from a cursor, or what is new, until `last` says so; answers the events of one account, or of all.
export function readStream({ cursor, last, did, opened = () => {}, streamUrl = pdsUrl }) {
  const query = cursor === undefined ? '' : `?cursor=${cursor}`
  const socket = new WebSocket(`${streamUrl.replace(/^http/, 'ws')}/xrpc/com.atproto.sync.subscribeRepos${query}`)
  socket.binaryType = 'arraybuffer'
  return new Promise((resolve, reject) => {
    const found = []
    let seq = -1
    const timer = setTimeout(() => end(reject, new Error(`nothing more came after ${found.length} events`)), PATIENCE_MS)
    const end = (settle, value) => {
      clearTimeout(timer)
      socket.close()
      settle(value)
    }
    socket.onopen = opened
    socket.onerror = ({ message }) => end(reject, new Error(`the stream failed: ${message}`))
    socket.onclose = () => end(reject, new Error('the stream ended'))
    socket.onmessage = ({ data }) => {
      try {
        const [header, rest] = decodeFirst(new Uint8Array(data))
        const [event, nothing] = decodeFirst(rest)
        assert.equal(nothing.length, 0, 'a frame has more than a header and a body')
        assert.equal(header.op, 1, `the stream reports ${event.error}: ${event.message}`)
        assert.ok(event.seq > seq, `${event.seq} comes after ${seq}`)
        seq = event.seq
        const seen = { kind: header.t, event }
        if (did === undefined || event.repo === did || event.did === did) found.push(seen)
        if (last(seen)) end(resolve, found)
      } catch (error) {
        end(reject, error)
      }
    }
  })
}

// The number of an event before everything that happens from here on.
export async function streamPosition() {
  let did
  const events = await readStream({
    last: ({ event }) => did !== undefined && event.repo === did,
    opened: async () => {
      const client = await signUp(freshAccount('pos'))
      did = client.did
      await client.post({ text: 'here' })
    },
  })
  return events.at(-1).event.seq
}
