// Records that the suites write, and repositories read back by other means than the one under test.
import assert from 'node:assert/strict'
import { cidForLex } from '@atproto/lex-cbor'
import { lexParse } from '@atproto/lex-json'
import { agent, freshName } from './network.mjs'

export const POST = 'app.bsky.feed.post'
export const NOTE = 'com.example.note'

export const post = (text) => ({ $type: POST, text, createdAt: '2026-11-25T09:00:00.000Z' })

// The key in a record's URI.
export const keyOf = ({ uri }) => uri.split('/').at(-1)

// The CID that npm @atproto/lex-cbor gives a record in JSON.
export async function cidOf(record) {
  return (await cidForLex(lexParse(JSON.stringify(record)))).toString()
}

// Everything in a repository by listRecords: path to CID.
export async function listed(did) {
  const records = new Map()
  const client = agent()
  const { data } = await client.com.atproto.repo.describeRepo({ repo: did })
  for (const collection of data.collections) {
    let cursor
    do {
      const page = await client.com.atproto.repo.listRecords({ repo: did, collection, limit: 100, cursor })
      for (const { uri, cid } of page.data.records) {
        const path = uri.slice(`at://${did}/`.length)
        assert.ok(!records.has(path), `${path} is listed twice`)
        records.set(path, cid)
      }
      cursor = page.data.cursor
    } while (cursor)
  }
  return records
}

// Writes a history that has every kind of change: creates, updates, deletes, several collections, enough of them for a
// tree of some height. Everything left can be read with `listed`.
export async function writeHistory(client, records = 120) {
  const repo = client.session.did
  // No two histories hold the same record.
  const name = freshName('his')
  const batch = (from, to) =>
    Array.from({ length: to - from }, (_, index) => ({
      $type: 'com.atproto.repo.applyWrites#create',
      collection: (from + index) % 3 ? POST : NOTE,
      value: (from + index) % 3 ? post(`${name} ${from + index}`) : { $type: NOTE, name, number: from + index },
    }))
  const { data } = await client.com.atproto.repo.applyWrites({ repo, writes: batch(0, records) })
  const paths = data.results.map(({ uri }) => uri.slice(`at://${repo}/`.length).split('/'))
  for (const [collection, rkey] of paths.slice(0, 4)) {
    await client.com.atproto.repo.deleteRecord({ repo, collection, rkey })
  }
  for (const [collection, rkey] of paths.slice(4, 8)) {
    const record = collection === POST ? post(`${name} ${rkey} changed`) : { $type: NOTE, name, changed: rkey }
    await client.com.atproto.repo.putRecord({ repo, collection, rkey, record })
  }
  const writes = [
    ...paths.slice(8, 12).map(([collection, rkey]) => ({ $type: 'com.atproto.repo.applyWrites#delete', collection, rkey })),
    ...paths.slice(12, 16).map(([collection, rkey]) => ({
      $type: 'com.atproto.repo.applyWrites#update',
      collection,
      rkey,
      value: collection === POST ? post(`${name} ${rkey} changed in a batch`) : { $type: NOTE, name, changed: [rkey] },
    })),
    ...batch(records, records + 4),
  ]
  await client.com.atproto.repo.applyWrites({ repo, writes })
  for (let number = 0; number < 4; number++) {
    await client.com.atproto.repo.createRecord({ repo, collection: POST, record: post(`${name} one more ${number}`) })
  }
}
