// npm @atproto/api: what people do all day, and what the records are afterwards.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { agent, freshAccount, refused, signUp } from '../network.mjs'
import { NOTE, POST, cidOf, keyOf, listed, post } from '../records.mjs'

const read = async (did, collection, rkey, cid) =>
  (await agent().com.atproto.repo.getRecord({ repo: did, collection, rkey, cid })).data

test('a post, a like, a repost, a follow, and each taken back', async () => {
  const [author, reader] = [await signUp(freshAccount('aut')), await signUp(freshAccount('rea'))]
  const written = await author.post({ text: 'hello 🌍', langs: ['en'] })
  const stored = await read(author.did, POST, keyOf(written))
  assert.equal(stored.value.text, 'hello 🌍')
  assert.deepEqual([stored.uri, stored.cid], [written.uri, written.cid])
  assert.equal(written.cid, await cidOf(stored.value))

  const like = await reader.like(written.uri, written.cid)
  const repost = await reader.repost(written.uri, written.cid)
  const follow = await reader.follow(author.did)
  const [liked] = (await reader.com.atproto.repo.listRecords({ repo: reader.did, collection: 'app.bsky.feed.like' })).data.records
  assert.deepEqual(liked.value.subject, { uri: written.uri, cid: written.cid })
  const followed = await read(reader.did, 'app.bsky.graph.follow', keyOf(follow))
  assert.equal(followed.value.subject, author.did)
  assert.deepEqual([...(await listed(reader.did)).values()].sort(), [like.cid, repost.cid, follow.cid].sort())

  await reader.deleteLike(like.uri)
  await reader.deleteRepost(repost.uri)
  await reader.deleteFollow(follow.uri)
  await author.deletePost(written.uri)
  assert.deepEqual([...(await listed(reader.did))], [])
  await refused(read(author.did, POST, keyOf(written)), 400, 'RecordNotFound')
})

test('a profile is made, then changed where it was changed last', async () => {
  const client = await signUp(freshAccount('pro'))
  const profile = async () => (await read(client.did, 'app.bsky.actor.profile', 'self')).value
  await client.upsertProfile((existing) => {
    assert.equal(existing, undefined)
    return { displayName: 'Alice' }
  })
  await client.upsertProfile((existing) => ({ ...existing, description: 'writes tests' }))
  assert.deepEqual(await profile(), { $type: 'app.bsky.actor.profile', displayName: 'Alice', description: 'writes tests' })

  // Two at once: the one that comes late reads again and loses nothing.
  await Promise.all([
    client.upsertProfile((existing) => ({ ...existing, displayName: 'Alicia' })),
    client.upsertProfile((existing) => ({ ...existing, description: 'writes more tests' })),
  ])
  assert.deepEqual(await profile(), { $type: 'app.bsky.actor.profile', displayName: 'Alicia', description: 'writes more tests' })
})

test('the CID of a record is what npm @atproto/lex-cbor makes of it', async () => {
  const client = await signUp(freshAccount('cid'))
  const link = { $link: await cidOf({ any: 'thing' }) }
  const record = {
    $type: NOTE,
    text: 'é ü 漢字 🧪 \u0000 "quoted"',
    numbers: [0, 1, 23, 24, 255, 256, 65535, 65536, 4294967296, -1, -24, -25, 9007199254740991],
    nested: { b: null, aa: true, a: false, list: [[], {}, ''] },
    bytes: { $bytes: 'AAEC/w' },
    link,
  }
  const { data } = await client.com.atproto.repo.createRecord({ repo: client.did, collection: NOTE, record })
  assert.equal(data.cid, await cidOf(record))
  assert.equal(data.validationStatus, 'unknown')
  const response = await client.com.atproto.repo.getRecord({ repo: client.did, collection: NOTE, rkey: keyOf(data) })
  assert.equal(response.data.cid, await cidOf(record))
})

test('listRecords pages both ways and getRecord knows its version', async () => {
  const client = await signUp(freshAccount('lis'))
  const repo = client.did
  const writes = Array.from({ length: 25 }, (_, number) => ({
    $type: 'com.atproto.repo.applyWrites#create',
    collection: NOTE,
    rkey: `n${String(number).padStart(2, '0')}`,
    value: { $type: NOTE, number },
  }))
  await client.com.atproto.repo.applyWrites({ repo, writes })
  const numbers = async (reverse) => {
    const found = []
    let cursor
    do {
      const { data } = await agent().com.atproto.repo.listRecords({ repo, collection: NOTE, limit: 10, reverse, cursor })
      found.push(...data.records.map(({ value }) => value.number))
      cursor = data.cursor
    } while (cursor)
    return found
  }
  const ascending = Array.from({ length: 25 }, (_, number) => number)
  assert.deepEqual(await numbers(true), ascending)
  assert.deepEqual(await numbers(false), ascending.toReversed())

  const { data: before } = await agent().com.atproto.repo.getRecord({ repo, collection: NOTE, rkey: 'n07' })
  await client.com.atproto.repo.putRecord({ repo, collection: NOTE, rkey: 'n07', record: { $type: NOTE, number: 700 } })
  assert.equal((await read(repo, NOTE, 'n07')).value.number, 700)
  await refused(read(repo, NOTE, 'n07', before.cid), 400, 'RecordNotFound')
})

test('applyWrites does everything or nothing', async () => {
  const client = await signUp(freshAccount('app'))
  const repo = client.did
  const kind = (name) => `com.atproto.repo.applyWrites#${name}`
  const create = (rkey) => ({ $type: kind('create'), collection: NOTE, rkey, value: { $type: NOTE, rkey } })
  const first = await client.com.atproto.repo.applyWrites({ repo, writes: [create('one'), create('two')] })
  assert.deepEqual(first.data.results.map(keyOf), ['one', 'two'])

  const { data } = await client.com.atproto.repo.applyWrites({
    repo,
    swapCommit: first.data.commit.cid,
    writes: [
      create('three'),
      { $type: kind('update'), collection: NOTE, rkey: 'one', value: { $type: NOTE, changed: true } },
      { $type: kind('delete'), collection: NOTE, rkey: 'two' },
    ],
  })
  assert.deepEqual(data.results.map(({ $type }) => $type), ['create', 'update', 'delete'].map((name) => `${kind(name)}Result`))
  const after = await listed(repo)
  assert.deepEqual([...after.keys()].sort(), [`${NOTE}/one`, `${NOTE}/three`])
  assert.equal(after.get(`${NOTE}/one`), data.results[1].cid)

  const late = client.com.atproto.repo.applyWrites({ repo, swapCommit: first.data.commit.cid, writes: [create('four')] })
  await refused(late, 400, 'InvalidSwap')
  const missing = { $type: kind('delete'), collection: NOTE, rkey: 'never' }
  await assert.rejects(client.com.atproto.repo.applyWrites({ repo, writes: [create('four'), { ...missing, $type: kind('update'), value: { $type: NOTE } }] }))
  assert.deepEqual(await listed(repo), after)
})

test('swapRecord and swapCommit let only the latest version be replaced', async () => {
  const client = await signUp(freshAccount('swa'))
  const at = { repo: client.did, collection: NOTE, rkey: 'self' }
  const put = async (number, swaps) =>
    (await client.com.atproto.repo.putRecord({ ...at, record: { $type: NOTE, number }, ...swaps })).data
  const first = await put(1, { swapRecord: null })
  await refused(put(2, { swapRecord: null }), 400, 'InvalidSwap')
  const second = await put(2, { swapRecord: first.cid })
  await refused(put(3, { swapRecord: first.cid }), 400, 'InvalidSwap')
  await refused(put(3, { swapCommit: first.commit.cid }), 400, 'InvalidSwap')
  await refused(client.com.atproto.repo.deleteRecord({ ...at, swapRecord: first.cid }), 400, 'InvalidSwap')
  assert.equal((await read(client.did, NOTE, 'self')).value.number, 2)
  await client.com.atproto.repo.deleteRecord({ ...at, swapRecord: second.cid, swapCommit: second.commit.cid })
  assert.deepEqual([...(await listed(client.did))], [])
})

test('a put that changes nothing and a delete of nothing make no commit', async () => {
  const client = await signUp(freshAccount('noo'))
  const repo = client.did
  const put = () => client.com.atproto.repo.putRecord({ repo, collection: NOTE, rkey: 'self', record: { $type: NOTE, n: 1 } })
  const first = await put()
  const latest = async () => (await agent().com.atproto.sync.getLatestCommit({ did: repo })).data
  const before = await latest()
  assert.equal((await put()).data.cid, first.data.cid)
  await client.com.atproto.repo.deleteRecord({ repo, collection: NOTE, rkey: 'never' })
  assert.deepEqual(await latest(), before)
})

test('nobody writes for somebody else, and nothing that its lexicon forbids', async () => {
  const [owner, other] = [await signUp(freshAccount('own')), await signUp(freshAccount('oth'))]
  const create = (client, record, fields = {}) =>
    client.com.atproto.repo.createRecord({ repo: owner.did, collection: POST, record, ...fields })
  await refused(create(other, post('not mine')), 401, 'AuthenticationRequired')
  await assert.rejects(create(agent(), post('without a session')), { status: 401 })
  await refused(create(owner, { ...post('x'), text: 7 }), 400, 'InvalidRequest')
  await refused(create(owner, { ...post('x'), text: 'x'.repeat(3001) }), 400, 'InvalidRequest')
  await refused(create(owner, { ...post('x'), createdAt: 'yesterday' }), 400, 'InvalidRequest')
  await refused(create(owner, { $type: NOTE }), 400, 'InvalidRequest')
  await refused(create(owner, post('x'), { rkey: 'a/b' }), 400, 'InvalidRequest')
  assert.deepEqual([...(await listed(owner.did))], [])
})
