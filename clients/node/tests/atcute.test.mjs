// npm @atcute/car, @atcute/cbor and @atcute/mst: a second, independent reading of exports, proofs and commits.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fromUint8Array } from '@atcute/car'
import { decode } from '@atcute/cbor'
import { CODEC_DCBOR, create, toString } from '@atcute/cid'
import { MemoryBlockStore, NodeStore, NodeWalker, NodeWrangler, verifyExclusion, verifyInclusion } from '@atcute/mst'
import { agent, freshAccount, signUp } from '../network.mjs'
import { POST, listed, writeHistory } from '../records.mjs'
import { readStream, streamPosition } from '../stream.mjs'

// A CAR file's commit and blocks, every block checked against its CID.
async function open(bytes) {
  const car = fromUint8Array(bytes)
  const [root] = car.roots
  const blocks = new Map()
  const order = []
  for (const { cid, bytes } of car) {
    const name = toString(cid)
    assert.equal(toString(await create(CODEC_DCBOR, bytes)), name, 'a block is not what its CID says')
    assert.ok(!blocks.has(name), `block ${name} is there twice`)
    blocks.set(name, bytes)
    order.push(name)
  }
  const head = root.$link
  return { head, commit: decode(blocks.get(head)), blocks, order }
}

const tree = (blocks) => new NodeStore(new MemoryBlockStore(new Map(blocks)))

async function walk(blocks, root) {
  const entries = []
  for await (const [path, cid] of (await NodeWalker.create(tree(blocks), root)).entries()) entries.push([path, cid.$link])
  return entries
}

test('an export holds its tree and its records and nothing else, the commit first', async () => {
  const client = await signUp(freshAccount('atc'))
  await writeHistory(client)
  const { data } = await agent().com.atproto.sync.getRepo({ did: client.did })
  const { head, commit, blocks, order } = await open(data)
  assert.equal(order[0], head)
  assert.equal(commit.did, client.did)
  assert.equal(commit.version, 3)

  const entries = await walk(blocks, commit.data.$link)
  assert.deepEqual(new Map(entries), await sortedRecords(client.did))
  for (const [path, cid] of entries) assert.equal(decode(blocks.get(cid)).$type, path.split('/')[0])
  const nodes = new Set()
  for await (const cid of (await NodeWalker.create(tree(blocks), commit.data.$link)).nodeCids()) nodes.add(cid.$link)
  assert.equal(blocks.size, 1 + nodes.size + new Set(entries.map(([, cid]) => cid)).size)
})

test('the same records put into an empty tree in any order give the same root', async () => {
  const client = await signUp(freshAccount('ord'))
  await writeHistory(client, 60)
  const { commit } = await open((await agent().com.atproto.sync.getRepo({ did: client.did })).data)
  const records = [...(await listed(client.did))]
  for (const order of [records, records.toReversed()]) {
    const wrangler = new NodeWrangler(tree([]))
    let root = null
    for (const [path, cid] of order) root = await wrangler.putRecord(root, path, { $link: cid })
    assert.equal(root, commit.data.$link)
  }
})

test('a proof has what is needed to find a record, or to see that there is none', async () => {
  const client = await signUp(freshAccount('pro'))
  const { did } = client
  await writeHistory(client, 60)
  const proof = async (collection, rkey) => open((await agent().com.atproto.sync.getRecord({ did, collection, rkey })).data)
  for (const path of [...(await listed(did)).keys()].slice(0, 10)) {
    const { commit, blocks } = await proof(...path.split('/'))
    await verifyInclusion(tree(blocks), commit.data.$link, path)
  }
  for (const rkey of ['2222222222222', 'zzzzzzzzzzzzz', 'self']) {
    const { commit, blocks } = await proof(POST, rkey)
    await verifyExclusion(tree(blocks), commit.data.$link, `${POST}/${rkey}`)
  }
})

test('each commit on the firehose, undone with its own blocks alone, gives the tree before it', async () => {
  const client = await signUp(freshAccount('und'))
  const cursor = await streamPosition()
  await writeHistory(client)
  const { data: latest } = await agent().com.atproto.sync.getLatestCommit({ did: client.did })
  const last = ({ kind, event }) => kind === '#commit' && event.rev === latest.rev
  const commits = (await readStream({ cursor, last, did: client.did })).filter(({ kind }) => kind === '#commit')
  assert.ok(commits.length >= 14, `only ${commits.length} commits were seen`)

  let previous
  for (const { event } of commits) {
    const { head, commit, blocks } = await open(event.blocks.buf)
    assert.equal(head, event.commit.$link)
    assert.deepEqual([commit.did, commit.rev], [client.did, event.rev])
    if (previous) {
      assert.equal(event.since, previous.rev)
      assert.equal(event.prevData.$link, previous.data)
    }
    const wrangler = new NodeWrangler(tree(blocks))
    let root = commit.data.$link
    for (const { action, path, cid, prev } of event.ops) {
      assert.equal(action === 'delete', cid === null)
      assert.equal(action === 'create', prev === undefined)
      if (cid) assert.ok(blocks.has(cid.$link), `the record at ${path} is missing`)
      root = action === 'create' ? await wrangler.deleteRecord(root, path) : await wrangler.putRecord(root, path, prev)
    }
    assert.equal(root, event.prevData.$link, `the commit ${event.rev} does not lead back`)
    previous = { rev: event.rev, data: commit.data.$link }
  }
})

const sortedRecords = async (did) => new Map([...(await listed(did))].sort(([a], [b]) => (a < b ? -1 : 1)))
